package token

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
)

// Reply is reply.For, and with a token where the decision gives one. Failing to make one is
// pullgate's own failure.
func (i *Issuer) Reply(r *authz.Request, d *authz.Decision) *reply.Reply {
	if r == nil || d == nil || r.Kind != authz.KindToken || d.Outcome != authz.OutcomeAnswer {
		return reply.For(r, d)
	}
	body, err := i.issue(r, d)
	if err != nil {
		return reply.For(r, &authz.Decision{ID: d.ID})
	}
	return reply.Token(r, d, body)
}

// answer is the body of a token request's answer (distribution's token authentication
// specification). Old clients read token, others access_token. There is no refresh_token: clients
// then keep the key, as they do for Basic.
type answer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	IssuedAt    string `json:"issued_at"`
}

var errTooLong = errors.New("the token would be too long")

// issue makes a token of a decision: for the key that was shown, else for anybody.
func (i *Issuer) issue(r *authz.Request, d *authz.Decision) ([]byte, error) {
	at := d.Time.Unix()
	c := claims{
		Issuer: issuer, Subject: authz.Anybody, Audience: r.Host, ID: d.ID,
		IssuedAt: at, NotBefore: at - early, Expires: at + int64(i.ttl/time.Second), Access: []access{},
	}
	who := "anybody"
	if d.Subject.Customer != "" && r.Credential.Kind == authz.CredentialKey {
		c.Subject, c.Key, who = d.Subject.Customer, encode(r.Credential.Hash[:]), "customer"
		if r.Service == "" || r.Service == r.Host {
			for _, name := range r.Pulls {
				c.Access = append(c.Access, access{"repository", name, []string{"pull"}})
			}
		}
	}
	token, err := i.sign(&c)
	if err != nil {
		return nil, err
	}
	if len(token) > maxToken {
		return nil, errTooLong
	}
	i.metrics.issued.WithLabelValues(who).Inc()
	return json.Marshal(answer{
		Token: token, AccessToken: token, ExpiresIn: int64(i.ttl / time.Second),
		IssuedAt: time.Unix(at, 0).UTC().Format(time.RFC3339),
	})
}
