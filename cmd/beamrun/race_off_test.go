//go:build !race

package main

const hasRaceDetector = false
