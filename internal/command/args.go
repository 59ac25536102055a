package command

// Words for writing rows. They keep a row's arguments on a line or two.

// Key is an argument that is a key.
func Key(name string) Arg { return Arg{Name: name, Type: "key"} }

// Text is an argument that is any string.
func Text(name string) Arg { return Arg{Name: name, Type: "string"} }

// Integer is an argument that is an integer.
func Integer(name string) Arg { return Arg{Name: name, Type: "integer"} }

// Number is an argument that is a number with a fraction.
func Number(name string) Arg { return Arg{Name: name, Type: "double"} }

// Pattern is an argument that is a glob pattern.
func Pattern(name string) Arg { return Arg{Name: name, Type: "pattern"} }

// UnixTime is an argument that is a moment.
func UnixTime(name string) Arg { return Arg{Name: name, Type: "unix-time"} }

// Token is a word that stands for itself.
func Token(name, word string) Arg { return Arg{Name: name, Type: "pure-token", Token: word} }

// OneOf is a choice.
func OneOf(name string, args ...Arg) Arg { return Arg{Name: name, Type: "oneof", Args: args} }

// Block is arguments that belong together.
func Block(name string, args ...Arg) Arg { return Arg{Name: name, Type: "block", Args: args} }

// After puts a word in front of the argument.
func (a Arg) After(word string) Arg { a.Token = word; return a }

// Opt makes the argument optional.
func (a Arg) Opt() Arg { a.Optional = true; return a }

// Many lets the argument be repeated.
func (a Arg) Many() Arg { a.Multiple = true; return a }

// One, Two, All and Pairs are the commonest places of keys.
var (
	One   = KeyRange{First: 1, Last: 1, Step: 1}
	Two   = KeyRange{First: 1, Last: 2, Step: 1}
	All   = KeyRange{First: 1, Last: -1, Step: 1}
	Pairs = KeyRange{First: 1, Last: -1, Step: 2}
)

// Use is one key spec: a range, and how its keys are used.
func Use(keys KeyRange, flags ...string) KeySpec { return KeySpec{Keys: keys, Flags: flags} }
