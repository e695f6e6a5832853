/* A plug-in whose build id is not the library's: reattn_backend_load must refuse it. */
struct plugin {
  const char* build_id;
};

__attribute__((visibility("default"))) const struct plugin* reattn_plugin(void) {
  static const struct plugin foreign = {"0123456789abcdef"};
  return &foreign;
}
