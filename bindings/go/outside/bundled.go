//go:build bundled

package main

import _ "reattn.org/reattn/natives"
