package natives

import _ "embed"

//go:embed linux_arm64/libreattn.so
var library []byte
