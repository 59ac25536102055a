package redisfront

// hiddenWord stands for what is secret.
var hiddenWord = []byte("(redacted)")

// redacted is a command as others may see it, without passwords.
func redacted(e *entry, args [][]byte) [][]byte {
	hide := func(from, to int) {
		args = append([][]byte(nil), args...)
		for i := from; i < min(to, len(args)); i++ {
			args[i] = hiddenWord
		}
	}
	switch e.full {
	case "auth":
		hide(1, len(args))
	case "hello":
		for i := 2; i+2 < len(args); i++ {
			if is(args[i], "auth") {
				hide(i+1, i+3)
			}
		}
	case "acl|setuser":
		hide(2, len(args))
	case "migrate":
		for i := 6; i+1 < len(args); i++ {
			switch {
			case is(args[i], "auth"):
				hide(i+1, i+2)
			case is(args[i], "auth2"):
				hide(i+1, i+3)
			}
		}
	case "config|set":
		for i := 2; i+1 < len(args); i += 2 {
			if is(args[i], "requirepass") || is(args[i], "masterauth") {
				hide(i+1, i+2)
			}
		}
	}
	return args
}
