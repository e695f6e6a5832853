module reattn.org/go-ask

go 1.24

require reattn.org/reattn v0.1.0

replace reattn.org/reattn => ../../bindings/go
