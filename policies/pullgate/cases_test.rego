package pullgate_test

# Some case does not hold.
broken if {
	some name, case in cases
	not holds(case)
	print(name, decision(case))
}

test_every_case_holds if not broken

test_every_text_is_whole if {
	count(data.pullgate.reason.text) == 24
	every code, line in data.pullgate.reason.text {
		print(code, line)
		regex.match(`^[A-Z{][^.]+\. [A-Z][^.]+\.$`, line)
	}
}
