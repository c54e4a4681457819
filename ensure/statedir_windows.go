package ensure

// The cache and temp directories of Windows are in the user's profile, which other users can't enter.
const openSafely = 0
