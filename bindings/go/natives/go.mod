// A module by itself: its packages need a file that is not in the tree (README.md, "Finding the library").
module reattn.org/reattn/natives

go 1.24

require reattn.org/reattn v0.1.0

replace reattn.org/reattn => ../
