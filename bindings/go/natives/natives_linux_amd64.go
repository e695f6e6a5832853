package natives

import _ "embed"

//go:embed linux_amd64/libreattn.so
var library []byte
