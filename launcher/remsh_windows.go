package launcher

// There the home folder is the profile's, whatever HOME says.
const readsHome = false
