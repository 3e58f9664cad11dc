package redisstore

// Every key that pullgate has in Redis begins with this; a user of Redis needs no other (~pullgate:*).
const prefix = "pullgate:"

// What is kept, by bundle name. The braces keep the two on one node of a Cluster.
//
//	pullgate:{tombstones:NAME}:stream     stream: signed tombstones of the bundle NAME, a field each
//	pullgate:{tombstones:NAME}:heartbeat  string: the newest signed heartbeat of its publisher
//	pullgate:tombstones:bundles           set: each NAME that ever had a heartbeat
//	pullgate:verdict:NAME                 string: a sealed verdict; NAME is a keyed hash of what it is about
func tombstoneStream(bundle string) string { return prefix + "{tombstones:" + bundle + "}:stream" }

func tombstoneHeartbeat(bundle string) string {
	return prefix + "{tombstones:" + bundle + "}:heartbeat"
}

const tombstoneBundles = prefix + "tombstones:bundles"

// tombstoneField is the one field of an entry of a stream.
const tombstoneField = "t"

const verdictPrefix = prefix + "verdict:"
