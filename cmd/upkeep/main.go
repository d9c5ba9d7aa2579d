// Command upkeep keeps programs running.
package main

func main() {}
