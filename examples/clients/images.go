package main

import "context"

// An imageClient is a client that pulls images.
type imageClient struct {
	pull func(s *seat, ref string) []string
	// prepare makes what pull needs; may be nil.
	prepare func(s *seat) error
	// check compares what was pulled with what was pushed.
	check func(ctx context.Context, s *seat, o *object) error
	// login logs in, with the key on standard input; nil when the client has no such command.
	login func(s *seat) []string
	// storesOnly says that login asks nobody: it stores whatever it is given.
	storesOnly bool
	// What the person reads: after a pull, when one is refused, at a login that is accepted or refused.
	pulled                                        string
	byTag, byDigest, expired, wrongKey, anonymous string
	loggedIn, loginRefused                        string
	exit                                          int // of whatever is refused
}

// scenes are the same for every client that pulls images.
func (ic imageClient) scenes(c *content) []scene {
	at := func(version string) string { return "@" + c.app[version].root.digest() }
	all := []scene{
		ic.pulling("pull :1.5.0", c, entitled, ":1.5.0", allowed, ic.pulled),
		ic.pulling("pull @1.5.0", c, entitled, at("1.5.0"), allowed, ic.pulled),
		ic.pulling("pull :1.5", c, entitled, ":1.5", allowed, ic.pulled),
		ic.pulling("pull :2.0.0", c, entitled, ":2.0.0", "version_not_granted", ic.byTag),
		ic.pulling("pull @2.0.0", c, entitled, at("2.0.0"), "unknown_reference", ic.byDigest),
		ic.pulling("pull :1.4.0, license expired", c, expired, ":1.4.0", "expired", ic.expired),
		ic.pulling("pull :1.4.0, wrong key", c, stranger, ":1.4.0", "unknown_key", ic.wrongKey),
		ic.pulling("pull :1.4.0, not logged in", c, nobody, ":1.4.0", "anonymous", ic.anonymous),
	}
	all = append(all, withTokens(all[0], all[1], all[3], all[4])...) // by tag and by digest
	if ic.login == nil {
		return all
	}
	in := logins(ic.login, ic.storesOnly, ic.exit, ic.loggedIn, ic.loginRefused, all[0])
	return append(append(all, in...), withTokens(in[0])...)
}

// pulling is a scene of one pull. What may be pulled is 1.5.0, under all its names.
func (ic imageClient) pulling(name string, c *content, who, tail, code, says string) scene {
	sc := one(name, code, ic.exit, says, func(s *seat) []string { return ic.pull(s, s.ref(appRepository, tail)) }).as(who)
	sc.prepare = ic.prepare
	if code == allowed {
		sc.check = func(ctx context.Context, s *seat) error { return ic.check(ctx, s, c.app["1.5.0"]) }
	}
	return sc
}

// logins are the scenes of a client's own login. What it leaves must be enough for pull.
func logins(args func(s *seat) []string, storesOnly bool, exit int, accepted, refused string, pull scene) []scene {
	login := func(name, who, code, says string, exit int) scene {
		return scene{name: name, who: who, code: code, local: true, fresh: true, acts: func(s *seat) []act {
			return []act{{args: args(s), stdin: s.key, says: says, exit: exit}}
		}}
	}
	first, then := login("", entitled, allowed, accepted, 0), pull
	then.name, then.fresh = "log in, "+pull.name, true
	then.acts = func(s *seat) []act { return append(first.acts(s), pull.acts(s)...) }
	if storesOnly {
		return []scene{
			then,
			login("log in, license expired", expired, unasked, accepted, 0),
			login("log in, wrong key", stranger, unasked, accepted, 0),
		}
	}
	return []scene{
		then,
		login("log in, license expired", expired, allowed, accepted, 0),
		login("log in, wrong key", stranger, "unknown_key", refused, exit),
	}
}
