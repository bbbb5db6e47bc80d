//go:build !purego

#include "textflag.h"

// SHA-256 (FIPS 180-4) of sixteen messages at a time, with AVX-512: register
// lane n belongs to message n. Z0 to Z7 are the working variables a to h, Z16 to
// Z31 the sixteen words of the message schedule at hand, Z8 to Z15 scratch.

// LOAD reads 64 bytes of message n into R, and has those fetched that come later:
// sixteen messages are more than a processor sees coming by itself.
#define LOAD(n, R) \
	MOVQ (8*n)(SI), R8; \
	VMOVDQU32 (R8)(DX*1), R; \
	PREFETCHT0 1024(R8)(DX*1)

// GATHER makes of the same four words of four messages the same word of each,
// four times. S to V are scratch.
#define GATHER(A, B, C, D, S, T, U, V) \
	VPUNPCKLDQ B, A, S; \
	VPUNPCKHDQ B, A, T; \
	VPUNPCKLDQ D, C, U; \
	VPUNPCKHDQ D, C, V; \
	VPUNPCKLQDQ U, S, A; \
	VPUNPCKHQDQ U, S, B; \
	VPUNPCKLQDQ V, T, C; \
	VPUNPCKHQDQ V, T, D

// TURN transposes the quarters of four registers, and puts bytes in order.
#define TURN(A, B, C, D) \
	VSHUFI32X4 $0x88, B, A, Z12; \
	VSHUFI32X4 $0xdd, B, A, Z13; \
	VSHUFI32X4 $0x88, D, C, Z14; \
	VSHUFI32X4 $0xdd, D, C, Z15; \
	VSHUFI32X4 $0x88, Z14, Z12, A; \
	VSHUFI32X4 $0x88, Z15, Z13, B; \
	VSHUFI32X4 $0xdd, Z14, Z12, C; \
	VSHUFI32X4 $0xdd, Z15, Z13, D; \
	VPSHUFB Z8, A, A; \
	VPSHUFB Z8, B, B; \
	VPSHUFB Z8, C, C; \
	VPSHUFB Z8, D, D

// HEAD is the half of step 3 of FIPS 180-4 6.2.2 for word t that makes h the e of
// the next round. What a round waits for is the e of the one before: from it to
// the next e there are three instructions, a rotation, the sum of rotations and an
// addition.
#define HEAD(t, W, a, b, c, d, e, f, g, h) \
	VPADDD.BCST (4*t)(AX), h, h; \
	VPADDD W, h, h; \
	VPADDD d, h, h; \
	VMOVDQA32 g, Z8; \
	VPRORD $6, e, Z9; \
	VPRORD $11, e, Z10; \
	VPRORD $25, e, Z11; \
	VPTERNLOGD $0xd8, e, f, Z8; \
	VPTERNLOGD $0x96, Z10, Z9, Z11; \
	VPADDD Z8, h, h; \
	VPADDD Z11, h, h

// TAIL is the other half, for the registers of that round: d, which HEAD has added
// to h, is taken away again and becomes the a of the next round. Nobody waits for
// it soon, so it comes a round later.
#define TAIL(a, b, c, d, h) \
	VPRORD $2, a, Z9; \
	VPRORD $13, a, Z10; \
	VPRORD $22, a, Z11; \
	VMOVDQA32 c, Z8; \
	VPTERNLOGD $0xe8, a, b, Z8; \
	VPTERNLOGD $0x96, Z10, Z9, Z11; \
	VPSUBD d, h, d; \
	VPADDD Z8, d, d; \
	VPADDD Z11, d, d

// HEADS and TAILS are HEAD and TAIL, and between their instructions each half of
// step 1 for a word of a later round, S, which is made of those 16 (S as it was),
// 15, 7 and 2 before it: it fills the time in which a round waits.
#define HEADS(t, W, S, S15, S7, a, b, c, d, e, f, g, h) \
	VPADDD.BCST (4*t)(AX), h, h; \
	VPRORD $7, S15, Z12; \
	VPADDD W, h, h; \
	VPADDD d, h, h; \
	VPRORD $18, S15, Z13; \
	VMOVDQA32 g, Z8; \
	VPRORD $6, e, Z9; \
	VPSRLD $3, S15, Z14; \
	VPRORD $11, e, Z10; \
	VPRORD $25, e, Z11; \
	VPADDD S7, S, S; \
	VPTERNLOGD $0xd8, e, f, Z8; \
	VPTERNLOGD $0x96, Z10, Z9, Z11; \
	VPTERNLOGD $0x96, Z13, Z12, Z14; \
	VPADDD Z8, h, h; \
	VPADDD Z11, h, h

#define TAILS(S, S2, a, b, c, d, h) \
	VPRORD $2, a, Z9; \
	VPRORD $17, S2, Z12; \
	VPRORD $13, a, Z10; \
	VPRORD $22, a, Z11; \
	VPRORD $19, S2, Z13; \
	VMOVDQA32 c, Z8; \
	VPSRLD $10, S2, Z15; \
	VPTERNLOGD $0xe8, a, b, Z8; \
	VPTERNLOGD $0x96, Z10, Z9, Z11; \
	VPADDD Z14, S, S; \
	VPSUBD d, h, d; \
	VPTERNLOGD $0x96, Z13, Z12, Z15; \
	VPADDD Z8, d, d; \
	VPADDD Z11, d, d; \
	VPADDD Z15, S, S

// func compress(state *[8][16]uint32, messages *[16]*byte, blocks int)
TEXT ·compress(SB), NOSPLIT, $0-24
	MOVQ state+0(FP), DI
	MOVQ messages+8(FP), SI
	MOVQ blocks+16(FP), CX
	LEAQ ·constants(SB), AX
	XORQ DX, DX
	VMOVDQU32 (DI), Z0
	VMOVDQU32 64(DI), Z1
	VMOVDQU32 128(DI), Z2
	VMOVDQU32 192(DI), Z3
	VMOVDQU32 256(DI), Z4
	VMOVDQU32 320(DI), Z5
	VMOVDQU32 384(DI), Z6
	VMOVDQU32 448(DI), Z7

block:
	LOAD(0, Z16)
	LOAD(1, Z17)
	LOAD(2, Z18)
	LOAD(3, Z19)
	GATHER(Z16, Z17, Z18, Z19, Z8, Z9, Z10, Z11)
	LOAD(4, Z20)
	LOAD(5, Z21)
	LOAD(6, Z22)
	LOAD(7, Z23)
	GATHER(Z20, Z21, Z22, Z23, Z12, Z13, Z14, Z15)
	LOAD(8, Z24)
	LOAD(9, Z25)
	LOAD(10, Z26)
	LOAD(11, Z27)
	GATHER(Z24, Z25, Z26, Z27, Z8, Z9, Z10, Z11)
	LOAD(12, Z28)
	LOAD(13, Z29)
	LOAD(14, Z30)
	LOAD(15, Z31)
	GATHER(Z28, Z29, Z30, Z31, Z12, Z13, Z14, Z15)
	VBROADCASTI32X4 ·order(SB), Z8
	TURN(Z16, Z20, Z24, Z28)
	TURN(Z17, Z21, Z25, Z29)
	TURN(Z18, Z22, Z26, Z30)
	TURN(Z19, Z23, Z27, Z31)
	HEAD(0, Z16, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	HEAD(1, Z17, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAIL(Z0, Z1, Z2, Z3, Z7)
	HEAD(2, Z18, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAIL(Z3, Z0, Z1, Z2, Z6)
	HEAD(3, Z19, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAIL(Z2, Z3, Z0, Z1, Z5)
	HEAD(4, Z20, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAIL(Z1, Z2, Z3, Z0, Z4)
	HEAD(5, Z21, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAIL(Z0, Z1, Z2, Z3, Z7)
	HEAD(6, Z22, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAIL(Z3, Z0, Z1, Z2, Z6)
	HEAD(7, Z23, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAIL(Z2, Z3, Z0, Z1, Z5)
	HEAD(8, Z24, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAIL(Z1, Z2, Z3, Z0, Z4)
	HEAD(9, Z25, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAIL(Z0, Z1, Z2, Z3, Z7)
	HEAD(10, Z26, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAIL(Z3, Z0, Z1, Z2, Z6)
	HEAD(11, Z27, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAIL(Z2, Z3, Z0, Z1, Z5)
	HEADS(12, Z28, Z16, Z17, Z25, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z16, Z30, Z1, Z2, Z3, Z0, Z4)
	HEADS(13, Z29, Z17, Z18, Z26, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z17, Z31, Z0, Z1, Z2, Z3, Z7)
	HEADS(14, Z30, Z18, Z19, Z27, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z18, Z16, Z3, Z0, Z1, Z2, Z6)
	HEADS(15, Z31, Z19, Z20, Z28, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z19, Z17, Z2, Z3, Z0, Z1, Z5)
	HEADS(16, Z16, Z20, Z21, Z29, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z20, Z18, Z1, Z2, Z3, Z0, Z4)
	HEADS(17, Z17, Z21, Z22, Z30, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z21, Z19, Z0, Z1, Z2, Z3, Z7)
	HEADS(18, Z18, Z22, Z23, Z31, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z22, Z20, Z3, Z0, Z1, Z2, Z6)
	HEADS(19, Z19, Z23, Z24, Z16, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z23, Z21, Z2, Z3, Z0, Z1, Z5)
	HEADS(20, Z20, Z24, Z25, Z17, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z24, Z22, Z1, Z2, Z3, Z0, Z4)
	HEADS(21, Z21, Z25, Z26, Z18, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z25, Z23, Z0, Z1, Z2, Z3, Z7)
	HEADS(22, Z22, Z26, Z27, Z19, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z26, Z24, Z3, Z0, Z1, Z2, Z6)
	HEADS(23, Z23, Z27, Z28, Z20, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z27, Z25, Z2, Z3, Z0, Z1, Z5)
	HEADS(24, Z24, Z28, Z29, Z21, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z28, Z26, Z1, Z2, Z3, Z0, Z4)
	HEADS(25, Z25, Z29, Z30, Z22, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z29, Z27, Z0, Z1, Z2, Z3, Z7)
	HEADS(26, Z26, Z30, Z31, Z23, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z30, Z28, Z3, Z0, Z1, Z2, Z6)
	HEADS(27, Z27, Z31, Z16, Z24, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z31, Z29, Z2, Z3, Z0, Z1, Z5)
	HEADS(28, Z28, Z16, Z17, Z25, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z16, Z30, Z1, Z2, Z3, Z0, Z4)
	HEADS(29, Z29, Z17, Z18, Z26, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z17, Z31, Z0, Z1, Z2, Z3, Z7)
	HEADS(30, Z30, Z18, Z19, Z27, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z18, Z16, Z3, Z0, Z1, Z2, Z6)
	HEADS(31, Z31, Z19, Z20, Z28, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z19, Z17, Z2, Z3, Z0, Z1, Z5)
	HEADS(32, Z16, Z20, Z21, Z29, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z20, Z18, Z1, Z2, Z3, Z0, Z4)
	HEADS(33, Z17, Z21, Z22, Z30, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z21, Z19, Z0, Z1, Z2, Z3, Z7)
	HEADS(34, Z18, Z22, Z23, Z31, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z22, Z20, Z3, Z0, Z1, Z2, Z6)
	HEADS(35, Z19, Z23, Z24, Z16, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z23, Z21, Z2, Z3, Z0, Z1, Z5)
	HEADS(36, Z20, Z24, Z25, Z17, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z24, Z22, Z1, Z2, Z3, Z0, Z4)
	HEADS(37, Z21, Z25, Z26, Z18, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z25, Z23, Z0, Z1, Z2, Z3, Z7)
	HEADS(38, Z22, Z26, Z27, Z19, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z26, Z24, Z3, Z0, Z1, Z2, Z6)
	HEADS(39, Z23, Z27, Z28, Z20, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z27, Z25, Z2, Z3, Z0, Z1, Z5)
	HEADS(40, Z24, Z28, Z29, Z21, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z28, Z26, Z1, Z2, Z3, Z0, Z4)
	HEADS(41, Z25, Z29, Z30, Z22, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z29, Z27, Z0, Z1, Z2, Z3, Z7)
	HEADS(42, Z26, Z30, Z31, Z23, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z30, Z28, Z3, Z0, Z1, Z2, Z6)
	HEADS(43, Z27, Z31, Z16, Z24, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z31, Z29, Z2, Z3, Z0, Z1, Z5)
	HEADS(44, Z28, Z16, Z17, Z25, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z16, Z30, Z1, Z2, Z3, Z0, Z4)
	HEADS(45, Z29, Z17, Z18, Z26, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z17, Z31, Z0, Z1, Z2, Z3, Z7)
	HEADS(46, Z30, Z18, Z19, Z27, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z18, Z16, Z3, Z0, Z1, Z2, Z6)
	HEADS(47, Z31, Z19, Z20, Z28, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z19, Z17, Z2, Z3, Z0, Z1, Z5)
	HEADS(48, Z16, Z20, Z21, Z29, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z20, Z18, Z1, Z2, Z3, Z0, Z4)
	HEADS(49, Z17, Z21, Z22, Z30, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z21, Z19, Z0, Z1, Z2, Z3, Z7)
	HEADS(50, Z18, Z22, Z23, Z31, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z22, Z20, Z3, Z0, Z1, Z2, Z6)
	HEADS(51, Z19, Z23, Z24, Z16, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z23, Z21, Z2, Z3, Z0, Z1, Z5)
	HEADS(52, Z20, Z24, Z25, Z17, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z24, Z22, Z1, Z2, Z3, Z0, Z4)
	HEADS(53, Z21, Z25, Z26, Z18, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z25, Z23, Z0, Z1, Z2, Z3, Z7)
	HEADS(54, Z22, Z26, Z27, Z19, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z26, Z24, Z3, Z0, Z1, Z2, Z6)
	HEADS(55, Z23, Z27, Z28, Z20, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z27, Z25, Z2, Z3, Z0, Z1, Z5)
	HEADS(56, Z24, Z28, Z29, Z21, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAILS(Z28, Z26, Z1, Z2, Z3, Z0, Z4)
	HEADS(57, Z25, Z29, Z30, Z22, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAILS(Z29, Z27, Z0, Z1, Z2, Z3, Z7)
	HEADS(58, Z26, Z30, Z31, Z23, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAILS(Z30, Z28, Z3, Z0, Z1, Z2, Z6)
	HEADS(59, Z27, Z31, Z16, Z24, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAILS(Z31, Z29, Z2, Z3, Z0, Z1, Z5)
	HEAD(60, Z28, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TAIL(Z1, Z2, Z3, Z0, Z4)
	HEAD(61, Z29, Z3, Z0, Z1, Z2, Z7, Z4, Z5, Z6)
	TAIL(Z0, Z1, Z2, Z3, Z7)
	HEAD(62, Z30, Z2, Z3, Z0, Z1, Z6, Z7, Z4, Z5)
	TAIL(Z3, Z0, Z1, Z2, Z6)
	HEAD(63, Z31, Z1, Z2, Z3, Z0, Z5, Z6, Z7, Z4)
	TAIL(Z2, Z3, Z0, Z1, Z5)
	TAIL(Z1, Z2, Z3, Z0, Z4)
	VPADDD (DI), Z0, Z0
	VMOVDQU32 Z0, (DI)
	VPADDD 64(DI), Z1, Z1
	VMOVDQU32 Z1, 64(DI)
	VPADDD 128(DI), Z2, Z2
	VMOVDQU32 Z2, 128(DI)
	VPADDD 192(DI), Z3, Z3
	VMOVDQU32 Z3, 192(DI)
	VPADDD 256(DI), Z4, Z4
	VMOVDQU32 Z4, 256(DI)
	VPADDD 320(DI), Z5, Z5
	VMOVDQU32 Z5, 320(DI)
	VPADDD 384(DI), Z6, Z6
	VMOVDQU32 Z6, 384(DI)
	VPADDD 448(DI), Z7, Z7
	VMOVDQU32 Z7, 448(DI)
	ADDQ $64, DX
	DECQ CX
	JNZ block
	VZEROUPPER
	RET

// The constants K of FIPS 180-4 4.2.2.
DATA ·constants+0(SB)/8, $0x71374491428a2f98
DATA ·constants+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA ·constants+16(SB)/8, $0x59f111f13956c25b
DATA ·constants+24(SB)/8, $0xab1c5ed5923f82a4
DATA ·constants+32(SB)/8, $0x12835b01d807aa98
DATA ·constants+40(SB)/8, $0x550c7dc3243185be
DATA ·constants+48(SB)/8, $0x80deb1fe72be5d74
DATA ·constants+56(SB)/8, $0xc19bf1749bdc06a7
DATA ·constants+64(SB)/8, $0xefbe4786e49b69c1
DATA ·constants+72(SB)/8, $0x240ca1cc0fc19dc6
DATA ·constants+80(SB)/8, $0x4a7484aa2de92c6f
DATA ·constants+88(SB)/8, $0x76f988da5cb0a9dc
DATA ·constants+96(SB)/8, $0xa831c66d983e5152
DATA ·constants+104(SB)/8, $0xbf597fc7b00327c8
DATA ·constants+112(SB)/8, $0xd5a79147c6e00bf3
DATA ·constants+120(SB)/8, $0x1429296706ca6351
DATA ·constants+128(SB)/8, $0x2e1b213827b70a85
DATA ·constants+136(SB)/8, $0x53380d134d2c6dfc
DATA ·constants+144(SB)/8, $0x766a0abb650a7354
DATA ·constants+152(SB)/8, $0x92722c8581c2c92e
DATA ·constants+160(SB)/8, $0xa81a664ba2bfe8a1
DATA ·constants+168(SB)/8, $0xc76c51a3c24b8b70
DATA ·constants+176(SB)/8, $0xd6990624d192e819
DATA ·constants+184(SB)/8, $0x106aa070f40e3585
DATA ·constants+192(SB)/8, $0x1e376c0819a4c116
DATA ·constants+200(SB)/8, $0x34b0bcb52748774c
DATA ·constants+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA ·constants+216(SB)/8, $0x682e6ff35b9cca4f
DATA ·constants+224(SB)/8, $0x78a5636f748f82ee
DATA ·constants+232(SB)/8, $0x8cc7020884c87814
DATA ·constants+240(SB)/8, $0xa4506ceb90befffa
DATA ·constants+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL ·constants(SB), NOPTR|RODATA, $256

// How the bytes of big-endian words are put in order.
DATA ·order+0(SB)/8, $0x0405060700010203
DATA ·order+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL ·order(SB), NOPTR|RODATA, $16
