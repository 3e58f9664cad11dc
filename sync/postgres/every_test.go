package postgres

// every is a set with every field that a document can have, in every form.
const every = `kind: Registry
id: main
hosts: [registry.acme.example, "registry.acme.example:5000"]
upstream: https://harbor.internal
history: P30D
catalog: listed
revoked_digests:
  - {repository: acme/app, digest: "sha256:559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd", at: 2026-03-01T00:00:00Z, reason: leaked key}
---
kind: Registry
id: other
hosts: [other.example]
upstream: https://other.internal/
catalog: off
---
kind: Product
id: app
name: "Acme: App # 1"
registry: main
repositories: [acme/app, {name: acme/charts/app, type: chart}, {name: acme/nightly, versions: none}]
variants: [alpine*, slim]
requires: [sso]
---
kind: Product
id: versions-only
registry: other
---
kind: Release
id: app-1.4.1
product: app
version: 1.4.1
released: 2026-05-10T09:00:00.5+02:00
counts_from: 2026-02-01
channel: lts
withdrawn: {at: 2026-06-01, reason: CVE-2026-1234, except: [acme, "1"]}
requires: [beta-terms]
---
kind: Release
id: other-2
product: versions-only
version: 2.0.0-rc.1
withdrawn: {at: 2026-06-01}
---
kind: Plan
id: gold
type: subscription
zone: Europe/Berlin
starts: 2026-01-01
term: P1Y
renews: {every: P1Y, notice: P30D}
grace: P14D
updates: with-term
terminates: P60D
keep_versions: true
enforcement: warn
features: {sso: true, nodes: 10, ratio: 0.50, "off": "off", list: [1, "1", {a: []}], "Größe": "\u0085\x7f", big: 1e300, lines: "a\nb"}
grants: [{product: app, versions: ">=1.0.0 <2.0.0", channels: [stable, rc]}]
---
kind: Plan
id: nothing
---
kind: Plan
id: dated
ends: 2026-12-31
renews: {every: P1Y, cancelled: 2026-11-20T10:00:00Z}
---
kind: Plan
id: yearly
aligned: calendar-year
minimum_term: P3M
---
kind: Customer
id: acme
name: ACME GmbH
zone: America/New_York
status: active
labels: {region: eu, tier: {name: "1", since: 2026-01-01}}
keys:
  - {id: zz, hash: "sha256:0000000000000000000000000000000000000000000000000000000000000001", expires: 2027-01-31, repositories: [acme/app], addresses: [10.0.0.0/8, "2001:db8::/32"]}
  - {id: aa, hash: "sha256:0000000000000000000000000000000000000000000000000000000000000002", repositories: [], addresses: []}
  - {id: key, hash: "sha256:0000000000000000000000000000000000000000000000000000000000000003", expires: 2027-01-31T12:00:00Z}
identities:
  - {jwt: {issuer: "https://idp.acme.example", subject: ci}}
  - {mtls: {san: "spiffe://acme/ci"}}
---
kind: Customer
id: "1"
status: banned
keys:
---
kind: License
id: merged
customer: acme
plan: gold
status: active
renews: {cancelled: 2026-11-20T10:00:00Z}
features: {nodes: 20}
---
kind: License
id: suspended
customer: acme
plan: gold
status: {suspended: {at: 2026-03-01, until: 2026-03-31, reason: unpaid, public_reason: invoice 1042 is open}}
---
kind: License
id: revoked
customer: acme
plan: gold
replaces: suspended
status: {revoked: {at: 2026-03-01T00:00:00-05:00, reason: fraud, public_reason: see mail}}
---
kind: License
id: bought
customer: acme
type: perpetual
zone: UTC
ends: never
updates: {until: 2026-12-31}
enforcement: observe
keep_versions: false
grants:
  - {repository: acme/tools/*, tags: ["1.4", "1.4.*", stable]}
  - {repository: acme/all, tags: all}
  - {repository: acme/now, tags: {current: {as_of: 2026-02-01}}}
  - {repository: acme/start, tags: {current: {}}}
  - {product: versions-only, versions: ["1.0.0", 1.1.0]}
  - {product: app, versions: [], channels: []}
---
kind: License
id: fiscal
customer: "1"
type: subscription
starts: 2026-01-01
aligned: {fiscal_year_ends: 06-30}
minimum_term: P3M
updates: {period: P1Y}
terminates: 2027-12-31
grants: []
---
kind: License
id: own-terms
customer: "1"
type: subscription
starts: 2026-01-01
term: P1M
renews: {every: P1M, notice: P5D}
grace: PT36H
grants: []
---
kind: License
id: year
customer: "1"
type: trial
starts: 2026-01-01
aligned: calendar-year
updates: forever
grants: []
---
kind: Public
id: docs
repositories: [acme/docs/**]
tags: all
---
kind: Public
id: some
repositories: [acme/some]
tags: [latest, "1.*"]
`
