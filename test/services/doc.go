// Package services takes over real services that somebody has started by hand, as the product promises: nginx, redis and an
// application in Python, with the daemon killed and upgraded in between. What is not installed is not tested, and says so.
package services
