//go:build !race

package main

// agreeVendors is how many vendors are drawn by default.
const agreeVendors = 25
