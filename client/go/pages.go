package podium

import (
	"fmt"
	"iter"

	"google.golang.org/grpc/codes"
)

const (
	largestPage = 1000

	// The maximum number of times that an answer of several calls is read.
	attempts = 5
)

// inOneState reads data by several calls until it did not change between them. read returns nil if it
// did.
func inOneState[T any](what string, read func() (*T, error)) (*T, error) {
	for range attempts {
		found, err := read()
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, &Error{
		Code: codes.Aborted,
		Message: fmt.Sprintf("%s changed %d times while it was read: it is too busy to be read as a "+
			"whole; try again, or ask for less", what, attempts),
	}
}

// pages returns the items of a list in pages. It can be iterated again, and by several goroutines at
// once.
func pages[T any](fetch func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token, more := "", true; more; more = token != "" {
			items, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			token = next
		}
	}
}
