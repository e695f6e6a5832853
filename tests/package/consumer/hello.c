/* A program outside the project: the installed header, C99, and the library it was built for. */
#include <reattn/reattn.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  printf("libreattn %s, ABI %d, status %s\n", reattn_version(), (int)reattn_abi_version(),
         reattn_status_name(REATTN_E_BUSY));
  return reattn_abi_version() == REATTN_ABI_VERSION &&
                 strcmp(reattn_status_name(REATTN_E_BUSY), "E_BUSY") == 0
             ? 0
             : 1;
}
