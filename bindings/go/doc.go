// Package reattn reads documents far longer than a language model's trained window and answers from them, inside your
// program: the Go layer over libreattn, which recalls the passages that matter and shows which they were.
//
// A program opens a [Model], makes a [Session], appends text to it, and pulls events out of a [Request]: progress while the
// text is read, then the answer, token by token.
//
// Everything that is made has a Close method; what was forgotten is freed when it is collected. What an object needs of
// another lives as long as it does, so that the order does not matter. Use after Close gives ErrHandle.
//
// Nothing of the library belongs to a thread, and a pull blocks only the goroutine that pulls.
package reattn
