module reattn.org/reattn

go 1.24
