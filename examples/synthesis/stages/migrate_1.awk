# Names without capitals.
NR == 1 { print 1; next }
{ print tolower($0) }
