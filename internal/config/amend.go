package config

import "github.com/bucketload/bucketload"

// Amend gives a load as it was, as the ledger has it, with the flags laid over.
func Amend(was *bucketload.Load, flags Flags) (*bucketload.Load, error) {
	l := *was
	said, err := flags.apply(&l)
	if err != nil {
		return nil, err
	}
	if err := contradictions(&l, said); err != nil {
		return nil, report("", under("table "+l.Key, nil, err))
	}
	return &l, nil
}
