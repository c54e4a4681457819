package launcher

// There the home directory is the profile's, whatever HOME says.
const readsHome = false
