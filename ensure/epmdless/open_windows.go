package epmdless

const openSafely = 0
