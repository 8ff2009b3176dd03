package sshfront

import (
	"runtime"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// fastCiphers returns what to offer where the processor has AES: all that is safe
// but chacha20. nil, the library's choice, elsewhere.
func fastCiphers() []string {
	if !hasAESGCM {
		return nil
	}
	return []string{
		gossh.CipherAES128GCM, gossh.CipherAES256GCM,
		gossh.CipherAES128CTR, gossh.CipherAES192CTR, gossh.CipherAES256CTR,
	}
}

var hasAESGCM = map[string]bool{
	"amd64": cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3,
	"arm64": cpu.ARM64.HasAES && cpu.ARM64.HasPMULL,
	"s390x": cpu.S390X.HasAES && cpu.S390X.HasAESCTR && cpu.S390X.HasGHASH,
}[runtime.GOARCH]

// What is offered besides: nothing that leans on SHA-1, neither for the exchange
// of keys nor for integrity nor for signatures, and no DSA. Post-quantum first.

func keyExchanges() []string {
	return []string{
		gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519,
		gossh.KeyExchangeECDHP256, gossh.KeyExchangeECDHP384, gossh.KeyExchangeECDHP521,
		gossh.KeyExchangeDH16SHA512, gossh.KeyExchangeDH14SHA256,
	}
}

func macs() []string {
	return []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM, gossh.HMACSHA256, gossh.HMACSHA512}
}

func keyAlgorithms() []string { return gossh.SupportedAlgorithms().PublicKeyAuths }
