# METADATA
# title: Rules of a vendor
# description: |
#   A vendor's package for the library's tests, which data.fixture moves: it contributes nothing
#   where a test does not say so.
package vendor.fixture

# Denies when every candidate is of one of these versions.
deny contains {"code": "old", "message": "older than we support\nask us"} if {
	every candidate in input.resource.candidates {
		candidate.version in data.fixture.old
	}
}

deny contains {"code": "closed", "message": "closed"} if data.fixture.closed

deny contains {"code": "pulls", "message": "no pulls"} if {
	data.fixture.no_pulls
	_is_pull
}

_is_pull if {
	input.action == "pull"
	input.resource.kind == "manifest"
	input.resource.tag in data.fixture.no_pulls
	input.resource.path == sprintf("/v2/acme/app/manifests/%s", [input.resource.tag])
	input.request.path == input.resource.path
}

grant contains {"code": "hotfix"} if {
	some candidate in input.resource.candidates
	candidate.version in data.fixture.hotfix
}

grant contains {"code": "edition"} if data.fixture.edition

grant contains {"code": "pulls"} if {
	data.fixture.pulls
	input.action == "pull"
	input.resource.kind == "manifest"
	input.resource.tag in data.fixture.pulls
	input.resource.path == sprintf("/v2/acme/app/manifests/%s", [input.resource.tag])
	input.request.path == input.resource.path
}

warn contains entry if some entry in data.fixture.warn

warn contains {"code": "soon", "message": "soon\nover"} if data.fixture.soon

boundary contains at if some at in data.fixture.boundary

# About a tag, when it is pulled.
boundary contains candidate.released + 1000000 if {
	data.fixture.pull_boundary
	input.action == "pull"
	input.resource.kind == "manifest"
	input.resource.path == sprintf("/v2/acme/app/manifests/%s", [input.resource.tag])
	input.request.path == input.resource.path
	some candidate in input.resource.candidates
	candidate.tag == input.resource.tag
}

header contains entry if some entry in data.fixture.header

deny contains entry if some entry in data.fixture.deny

# Fails, where somebody asks.
deny contains {"code": "fails", "message": "fails"} if {
	data.fixture.fails
	1 / 0 > 0
}

boundary contains 1 / 0 if data.fixture.fails
