// Package journal keeps a small map from keys to values in a file that survives anything: our own death at
// any instant, a power cut, a full or failing disk, damage of the file, and what people do to it.
//
// # Promises
//
// Source: spec/reliability R21, R22, R23; spec/one-model C3.
//
//   - What Flush has returned nil for survives the death of the process. What Sync has reported nil for
//     survives a power cut, unless the store is volatile (see [Recovered]).
//   - After a crash the content is what it was after some Put, never a mixture, and never an older one
//     than the last that was acknowledged. The one exception is a power cut between a write and its
//     fsync, where a file system may keep later records and lose earlier ones, none of them acknowledged;
//     what is missing is then reported as damage.
//   - Opening never fails because of what is on the disk, and never deletes what it cannot read: a file
//     that is damaged, newer than this version or not ours gets the new name NAME.damaged-N. These are
//     never removed by us, however many; they are for people to look at and to remove. Not kept are a
//     last record that was cut short (a write that nobody was told had happened) and bytes that are all
//     zero.
//   - Damage takes with it the records it touches and no others. A record is found again behind damage
//     by its mark, and what was lost is counted, because records of a file are numbered without gaps.
//
// What damage can do: a value that was written in a damaged place is lost, and an older value of the same
// key, or a key that was deleted there, may show instead. That is always reported, with the key when the
// damage left that much. What cannot be noticed is a file cut exactly between two records.
//
// # File
//
// A file is a row of frames. All numbers are little-endian, all sums CRC-32C.
//
//	 0  4  mark F5 'u' 'J', version (1)
//	 4  1  kind: 0 first frame of the file (its value is the stamp), 1 put, 2 delete
//	 5  1  zero
//	 6  2  length of the key
//	 8  4  length of the value
//	12  8  number of the frame in this file, from 0
//	20  8  random number of this file
//	28  4  sum of the stamp
//	32  4  sum of the key
//	36  4  sum of bytes 0 to 35
//	40     key, value
//	    4  sum of everything before, from byte 0 of the frame
//
// The number of the file keeps frames out that a file system shows from an earlier file, and frames that
// lie inside a value. The sum of the stamp is in every frame so that losing the first one does not turn
// what is valid into history. New kinds make a new version.
//
// Beside the file lies NAME.spare, an empty file with storage reserved: the next fresh file, so that
// replacing works on a full disk too. The file in use has storage reserved behind its end as well.
package journal
