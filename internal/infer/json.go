package infer

// classifyJSON judges a value of JSON, trimmed and not empty. A string stays
// one whatever number or truth value it looks like, for the file says so; a
// date is one in a string only. A number is what it is.
func classifyJSON(s string, quoted bool) kind {
	switch k := classify(s); {
	case quoted && k >= date && k <= uuid, quoted && k == nullWord, quoted && k == fineTime, quoted && k == dayMonth:
		return k
	case quoted:
		return words
	case s[0] == '{' || s[0] == '[':
		return nested
	case k == hugeInteger || k == bareExponent:
		return decimal
	default:
		return k
	}
}
