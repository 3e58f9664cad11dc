package main

import "context"

// clients are all clients of the matrix.
var clients = []client{
	{name: "crane", peers: []string{"crane"}, scenes: crane},
	{name: "skopeo", peers: []string{"skopeo"}, scenes: skopeo},
	{name: "buildah", peers: []string{"buildah"}, root: true, scenes: buildah},
	{name: "oras", peers: []string{"oras"}, scenes: oras},
	{name: "regctl", peers: []string{"regctl"}, scenes: regctl},
	{name: "ctr-1.6", peers: []string{"ctr-1.6", "containerd-1.6"}, root: true, scenes: ctr16},
	{name: "ctr-2", peers: []string{"ctr", "containerd-1.6"}, root: true, scenes: ctr2},
	{name: "helm", peers: []string{"helm"}, scenes: helm},
	{name: "cosign", peers: []string{"cosign"}, extra: true, scenes: cosign},
}

// What pullgate says, as the person reads it wherever the client shows it (docs/registry.md).
const (
	saysRange     = "app 2.0.0: license acme-app covers >=1.0.0 <2.0.0. Ask for a version in that range, or for a wider license; decision ID"
	saysExpired   = "app 1.4.0: license initech-app ended after DATE. Renew the license; decision ID"
	saysDigest    = "no such manifest for this customer: check the tag or digest, or list the tags that your license covers"
	saysWrongKey  = "this key is not known, check it for typing errors: log in with 'docker login HOST', any user name, and your license key as the password"
	saysAnonymous = "authentication required: log in with 'docker login HOST', any user name, and your license key as the password"
)

// one is a scene of the entitled customer with one command. exit is that of a refusal.
func one(name, code string, exit int, says string, args func(s *seat) []string) scene {
	if code == allowed {
		exit = 0
	}
	return scene{name: name, who: entitled, code: code, acts: func(s *seat) []act {
		return []act{{args: args(s), says: says, exit: exit}}
	}}
}

// checking adds a look at what was pulled.
func (sc scene) checking(check func(ctx context.Context, s *seat) error) scene {
	sc.check = check
	return sc
}

// answered says that pullgate answers all of it itself.
func (sc scene) answered() scene {
	sc.local = true
	return sc
}

// as says who it is.
func (sc scene) as(who string) scene {
	sc.who = who
	return sc
}

// exits says how the client exits although nothing was refused.
func (sc scene) exits(exit int) scene {
	acts := sc.acts
	sc.acts = func(s *seat) []act {
		all := acts(s)
		all[len(all)-1].exit = exit
		return all
	}
	return sc
}

// withTokens are scenes once more, where pullgate asks for bearer tokens instead of Basic.
func withTokens(scenes ...scene) []scene {
	for i := range scenes {
		scenes[i].name += ", with a token"
		scenes[i].token = true
	}
	return scenes
}

// missing says that the client also asks for signatures that are not there.
func (sc scene) missing() scene {
	sc.besides = "unknown_reference"
	return sc
}
