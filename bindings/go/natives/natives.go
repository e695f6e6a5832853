// Package natives has a program carry the library: import it for that alone.
//
//	import _ "reattn.org/reattn/natives"
package natives

import "reattn.org/reattn"

func init() { reattn.Bundle(library) }
