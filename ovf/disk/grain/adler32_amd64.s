//go:build !purego

#include "textflag.h"

// What a byte of a block of 32 counts for in the second sum.
DATA weights<>+0(SB)/8, $0x191a1b1c1d1e1f20
DATA weights<>+8(SB)/8, $0x1112131415161718
DATA weights<>+16(SB)/8, $0x090a0b0c0d0e0f10
DATA weights<>+24(SB)/8, $0x0102030405060708
GLOBL weights<>(SB), RODATA|NOPTR, $32

// func adlerSums(p *byte, blocks int) (sum, weighted uint64)
//
// Y1 is the sum of all bytes, four quarters of it; Y2 the sum of what Y1 was
// before each block, whose bytes count 32 times for each block behind them; Y3
// the bytes by their weights within their blocks.
TEXT ·adlerSums(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ blocks+8(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VMOVDQU weights<>(SB), Y4
	VPCMPEQW Y5, Y5, Y5
	VPSRLW $15, Y5, Y5
	TESTQ CX, CX
	JZ done

loop:
	VMOVDQU (SI), Y6
	VPADDQ Y1, Y2, Y2
	VPSADBW Y0, Y6, Y7
	VPADDQ Y7, Y1, Y1
	VPMADDUBSW Y4, Y6, Y8
	VPMADDWD Y5, Y8, Y8
	VPADDD Y8, Y3, Y3
	ADDQ $32, SI
	DECQ CX
	JNZ loop

done:
	VPSLLQ $5, Y2, Y2
	VPSRLQ $32, Y3, Y7
	VPSLLQ $32, Y3, Y3
	VPSRLQ $32, Y3, Y3
	VPADDQ Y7, Y3, Y3
	VPADDQ Y3, Y2, Y2
	VEXTRACTI128 $1, Y1, X7
	VPADDQ X7, X1, X1
	VPSHUFD $0x4e, X1, X7
	VPADDQ X7, X1, X1
	VMOVQ X1, AX
	MOVQ AX, sum+16(FP)
	VEXTRACTI128 $1, Y2, X7
	VPADDQ X7, X2, X2
	VPSHUFD $0x4e, X2, X7
	VPADDQ X7, X2, X2
	VMOVQ X2, AX
	MOVQ AX, weighted+24(FP)
	VZEROUPPER
	RET
