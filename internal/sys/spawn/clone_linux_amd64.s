#include "textflag.h"

// The layout of a step is in script_linux.go: number, six arguments, condition, wanted, failing, patch, names.

// func cloneScript(nr, a0, a1, a2, a3, a4 uintptr, all, old, first unsafe.Pointer) (result uintptr)
//
// Blocks all signals of this thread, makes a process, restores the mask. The process shares our memory and
// our stack pointer, and so must not touch the stack: it does nothing but the steps, in registers.
TEXT ·cloneScript(SB), NOSPLIT|NOFRAME, $0-80
	MOVQ $14, AX             // rt_sigprocmask
	MOVQ $2, DI              // SIG_SETMASK
	MOVQ all+48(FP), SI
	MOVQ old+56(FP), DX
	MOVQ $8, R10
	SYSCALL

	MOVQ first+64(FP), R12
	MOVQ a0+8(FP), DI
	MOVQ a1+16(FP), SI
	MOVQ a2+24(FP), DX
	MOVQ a3+32(FP), R10
	MOVQ a4+40(FP), R8
	MOVQ nr+0(FP), AX
	SYSCALL
	TESTQ AX, AX
	JZ step

	MOVQ AX, result+72(FP)
	MOVQ $14, AX
	MOVQ $2, DI
	MOVQ old+56(FP), SI
	XORQ DX, DX
	MOVQ $8, R10
	SYSCALL
	RET

step:
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	MOVQ 40(R12), R8
	MOVQ 48(R12), R9
	MOVQ 0(R12), AX
	SYSCALL
	MOVQ 56(R12), BX
	CMPQ BX, $1
	JEQ  next                // whatever it says
	CMPQ BX, $2
	JEQ  exactly
	CMPQ BX, $3
	JEQ  refused
	CMPQ AX, $-4095          // must work
	JCC  failed
	JMP  next

exactly:
	CMPQ AX, 64(R12)
	JEQ  next
	JMP  failed

refused:
	CMPQ AX, $-4095          // must not work
	JCS  failed

next:
	ADDQ $96, R12
	JMP  step

failed:
	MOVQ 80(R12), BX
	TESTQ BX, BX
	JZ   turn
	NEGQ AX
	CMPQ AX, $255
	JLS  known
	XORQ AX, AX

known:
	SHLQ $4, AX
	ADDQ 88(R12), AX
	MOVQ 0(AX), CX
	MOVQ CX, 0(BX)
	MOVQ 8(AX), CX
	MOVQ CX, 8(BX)

turn:
	MOVQ 72(R12), R12
	JMP  step
