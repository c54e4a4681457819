//go:build race

package main

const hasRaceDetector = true
