#include "textflag.h"

// The layout of a step is in script_linux.go: number, six arguments, condition, wanted, failing, patch, names.

// func cloneScript(nr, a0, a1, a2, a3, a4 uintptr, all, old, first unsafe.Pointer) (result uintptr)
//
// Blocks all signals of this thread, makes a process, restores the mask. The process shares our memory and
// our stack pointer, and so must not touch the stack: it does nothing but the steps, in registers.
TEXT ·cloneScript(SB), NOSPLIT|NOFRAME, $0-80
	MOVD $135, R8            // rt_sigprocmask
	MOVD $2, R0              // SIG_SETMASK
	MOVD all+48(FP), R1
	MOVD old+56(FP), R2
	MOVD $8, R3
	SVC

	MOVD first+64(FP), R19
	MOVD a0+8(FP), R0
	MOVD a1+16(FP), R1
	MOVD a2+24(FP), R2
	MOVD a3+32(FP), R3
	MOVD a4+40(FP), R4
	MOVD nr+0(FP), R8
	SVC
	CBZ R0, step

	MOVD R0, result+72(FP)
	MOVD $135, R8
	MOVD $2, R0
	MOVD old+56(FP), R1
	MOVD $0, R2
	MOVD $8, R3
	SVC
	RET

step:
	MOVD 8(R19), R0
	MOVD 16(R19), R1
	MOVD 24(R19), R2
	MOVD 32(R19), R3
	MOVD 40(R19), R4
	MOVD 48(R19), R5
	MOVD 0(R19), R8
	SVC
	MOVD 56(R19), R20
	CMP  $1, R20
	BEQ  next                // whatever it says
	CMP  $2, R20
	BEQ  exactly
	CMP  $3, R20
	BEQ  refused
	CMN  $4095, R0           // must work
	BCS  failed
	B    next

exactly:
	MOVD 64(R19), R21
	CMP  R21, R0
	BEQ  next
	B    failed

refused:
	CMN  $4095, R0           // must not work
	BCC  failed

next:
	ADD $96, R19
	B   step

failed:
	MOVD 80(R19), R20
	CBZ  R20, turn
	NEG  R0, R0
	CMP  $255, R0
	BLS  known
	MOVD $0, R0

known:
	MOVD 88(R19), R21
	ADD  R0<<4, R21
	MOVD 0(R21), R22
	MOVD R22, 0(R20)
	MOVD 8(R21), R22
	MOVD R22, 8(R20)

turn:
	MOVD 72(R19), R19
	B    step
