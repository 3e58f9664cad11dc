package license

// limits say what a text may be. A pattern holds for whole texts and is one for RE2 and for
// ECMAScript; message says what would be right. A schema may refuse only what the parser refuses,
// so patterns are as wide as the parser or wider.
type limits struct {
	pattern string
	also    string   // a second pattern
	except  []string // reserved words
	longest int      // 0: as long as it likes
	message string
}

// One line of text.
type lineText string

func (lineText) limits() limits {
	return limits{pattern: `^[^\r\n]+$`, message: "one line of text, not empty; numbers and truth values are quoted"}
}

// The id of a document.
type documentIDText string

func (documentIDText) limits() limits {
	return limits{
		pattern: idSyntax.String(), except: reserved,
		message: "1 to 63 of a-z 0-9 . _ -, beginning with a letter or a digit; not key, anonymous, jwt, mtls; numbers are quoted",
	}
}

// A name inside a document.
type idText string

func (idText) limits() limits {
	return limits{pattern: idSyntax.String(), message: "1 to 63 of a-z 0-9 . _ -, beginning with a letter or a digit; numbers are quoted"}
}

// The id of another document.
type referenceText string

func (referenceText) limits() limits {
	return limits{pattern: idSyntax.String(), message: "the id of another document, quoted if it is a number"}
}

// A date or an instant.
type momentText string

const (
	dayPattern     = `((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-9])|(0[13-9]|1[0-2])-30|(0[13578]|1[02])-31)`
	datePattern    = `[0-9]{4}-` + dayPattern
	instantPattern = datePattern + `T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})`
)

func (momentText) limits() limits {
	return limits{
		pattern: `^(` + datePattern + `|` + instantPattern + `)$`,
		message: "a date like 2026-12-31, or an instant with its offset like 2026-12-31T12:00:00Z",
	}
}

// A date or an instant, beside a word.
type endText string

func (endText) limits() limits {
	l := momentText("").limits()
	l.message = "a date like 2026-12-31, an instant with its offset like 2026-12-31T12:00:00Z, or never"
	return l
}

// A period or an end.
type stopText string

func (stopText) limits() limits {
	return limits{
		pattern: `^(` + datePattern + `|` + instantPattern + `|P.*[DHMSWY])$`,
		message: "a period like P60D, a date like 2026-12-31, or an instant with its offset",
	}
}

// An instant.
type instantText string

func (instantText) limits() limits {
	return limits{pattern: `^` + instantPattern + `$`, message: "an instant with its offset, like 2026-11-20T10:00:00Z"}
}

// A month and a day.
type monthDayText string

func (monthDayText) limits() limits {
	return limits{
		pattern: `^` + dayPattern + `$`,
		message: "month and day, like 06-30; 02-29 means the last day of February",
	}
}

const periodPattern = `^P([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$`

// An ISO 8601 period.
type periodText string

func (periodText) limits() limits {
	return limits{pattern: periodPattern, also: `[DHMSWY]$`, message: "a period like P1Y, P3M, P2W, P30D or PT24H"}
}

// An ISO 8601 period that lasts.
type positivePeriodText string

func (positivePeriodText) limits() limits {
	return limits{pattern: periodPattern, also: `[1-9].*[DHMSWY]$`, message: "a period longer than zero, like P1Y, P3M, P2W, P30D or PT24H"}
}

// The IANA name of a zone.
type zoneText string

func (zoneText) limits() limits {
	return limits{pattern: `^[A-Za-z0-9_+./-]+$`, except: []string{"Local"}, message: "an IANA zone like Europe/Berlin, or UTC"}
}

// A host with or without a port.
type hostText string

func (hostText) limits() limits {
	return limits{
		pattern: `^[A-Za-z0-9_.:\[\]-]+$`,
		message: "a DNS name or an IP address, with a port where needed, like registry.acme.example:5000; without scheme and path",
	}
}

// The address of a registry.
type upstreamText string

func (upstreamText) limits() limits {
	return limits{
		pattern: `^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/*$`,
		message: "scheme, host and port, like https://harbor.internal; credentials belong in pullgate.yaml",
	}
}

// A network in CIDR notation.
type networkText string

func (networkText) limits() limits {
	return limits{
		pattern: `^([0-9.]+/([0-9]|[12][0-9]|3[0-2])|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))$`,
		message: "a network like 10.0.0.0/8 or 2001:db8::/32; a single address is 10.0.0.7/32",
	}
}

// The SHA-256 of something that a registry holds.
type digestText string

func (digestText) limits() limits {
	return limits{pattern: digestSyntax.String(), message: "sha256: and 64 lower-case hexadecimal digits"}
}

// The SHA-256 of a key.
type hashText string

func (hashText) limits() limits {
	return limits{
		pattern: digestSyntax.String(),
		message: "sha256: and 64 lower-case hexadecimal digits, as `pullgate key hash` prints it; never the key itself",
	}
}

// The literal name of a repository, without a host.
type repositoryText string

const (
	segmentPattern    = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
	anySegmentPattern = `(\*|\*\*|` + segmentPattern + `)`
)

func (repositoryText) limits() limits {
	return limits{
		pattern: `^` + segmentPattern + `(/` + segmentPattern + `)*$`, longest: 255,
		message: "a repository like acme/app, without a host; no pattern",
	}
}

// A repository pattern.
type repositoryPatternText string

func (repositoryPatternText) limits() limits {
	return limits{
		pattern: `^` + anySegmentPattern + `(/` + anySegmentPattern + `)*$`, longest: 255,
		message: "a repository like acme/app, in which * stands for one whole segment and ** for one or more",
	}
}

// A tag pattern.
type tagPatternText string

func (tagPatternText) limits() limits {
	return limits{
		pattern: `^[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}$`,
		message: `a tag, in which * stands for any run of characters; quote numbers: "1.4"`,
	}
}

// A channel.
type channelText string

func (channelText) limits() limits {
	return limits{pattern: channelSyntax.String(), message: "a channel in lower case, like stable, rc or beta"}
}

// One exact version.
type versionText string

const preReleasePattern = `(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`

func (versionText) limits() limits {
	return limits{
		pattern: `^v?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-` + preReleasePattern + `(\.` + preReleasePattern + `)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`,
		longest: 256, message: "a version with three parts, like 1.4.1 or 2.0.0-rc.1",
	}
}

// A constraint on versions.
type constraintText string

func (constraintText) limits() limits {
	return limits{
		pattern: `^[0-9A-Za-z.*+<>=!~^|, \t\f\v-]+$`,
		message: `a constraint like ">=1.0.0 <2.0.0", a list of exact versions, or all; quote numbers`,
	}
}

// freeObject is an object of what JSON can say, without null and without empty names.
type freeObject struct{}
