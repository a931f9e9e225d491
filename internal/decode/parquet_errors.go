package decode

import (
	"errors"
	"fmt"

	"github.com/bucketload/bucketload"
)

// errPqShort is of a page that ends before its values do.
var errPqShort = pqDamaged("a page has fewer values than it says")

// errPqSize is of a page that does not have the size that it says.
var errPqSize = errors.New("it is not as long as it says")

// pqDamaged is of a file that does not go by the format.
func pqDamaged(format string, args ...any) error {
	return &bucketload.Error{Code: bucketload.CodeCorrupt, Message: "the Parquet data is damaged", Err: fmt.Errorf(format, args...),
		Hint: "write the file again or upload it again, or leave it out with --exclude"}
}

// errPqSchema is of a file with more columns than anything reads.
var errPqSchema = &bucketload.Error{Code: bucketload.CodeLimit, Message: fmt.Sprintf("the Parquet file has a schema of more than %d elements", pqMaxSchema),
	Hint: "write it again with fewer columns, or leave it out with --exclude"}

// errPqLeaves is of a selection with more in it than is read at once.
var errPqLeaves = &bucketload.Error{Code: bucketload.CodeLimit, Message: fmt.Sprintf("what is to be read of the Parquet file has too many columns in it for %d MiB, those inside of structs counted", pqMaxHeld>>20),
	Hint: "name those that you want in columns, and of a struct its fields: a.b"}

// errPqEntries is of a row that goes on where its text would have been too long
// long since. Where the next one begins is not looked for.
var errPqEntries = &bucketload.Error{Code: bucketload.CodeLimit, Message: fmt.Sprintf("a row of the Parquet file has more than %d values", pqMaxEntries),
	Hint: "leave the column out: name those that you want in columns; or leave the file out with --exclude"}

// pqMetadata is of a footer or a page's header that cannot be read.
func pqMetadata(err error) error {
	if _, ok := errors.AsType[*bucketload.Error](err); ok {
		return err
	}
	return pqDamaged("%w", err)
}

// pqTooLarge is of a file that needs more memory than it gets.
func pqTooLarge(what string) error {
	return &bucketload.Error{Code: bucketload.CodeLimit, Message: fmt.Sprintf("the Parquet file has %s of more than %d MiB", what, pqMaxHeld>>20),
		Hint: "write it again with smaller pages and row groups, or select fewer columns"}
}

// pqUnread is of what the format has and is not read.
func pqUnread(format string, args ...any) error {
	return &bucketload.Error{Code: bucketload.CodeSource, Message: "the Parquet file cannot be read: " + fmt.Sprintf(format, args...),
		Hint: "write it again with other settings, or leave it out with --exclude"}
}

func pqUnknownEncoding(encoding int64) error {
	return pqUnread("it has the encoding %d, which is not known", encoding)
}

func pqEncrypted(what string) error {
	return &bucketload.Error{Code: bucketload.CodeSource, Message: what + ", which is not read",
		Hint: "decrypt it first, or select only columns that are not encrypted, or leave the file out with --exclude"}
}

// pqRecover makes an error of a panic: whatever a file has in it ends the file,
// and never the program.
func pqRecover(err *error) {
	if r := recover(); r != nil {
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		*err = pqDamaged("%w", cause)
	}
}
