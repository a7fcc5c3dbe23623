// Which instruction sets this processor runs.
#include "processor.h"

#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace seqway {
namespace {

#if defined(__x86_64__)

constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of arch_prctl
constexpr long kTileData = 18;

bool bit(unsigned value, int place) { return (value >> place & 1U) != 0; }

struct Flags {
  bool avx2 = false, avx512 = false, amx = false;
};

// Instructions count where the operating system keeps their registers, too.
Flags read_flags() {
  Flags flags;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return flags;
  const bool has_fma = bit(c, 12), has_halves = bit(c, 29);
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return flags;
  flags.avx2 = bit(b, 5) && has_fma && has_halves && (low & 0x6U) == 0x6U;
  const bool wide = bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && bit(c, 11);
  flags.avx512 = flags.avx2 && wide && (low & 0xE6U) == 0xE6U;
  const bool tiles = bit(d, 24) && bit(d, 25) && (low & 0x60000U) == 0x60000U;
  flags.amx = flags.avx512 && tiles && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return flags;
}

#endif

std::vector<const Backend*> found() {
  std::vector<const Backend*> backends;
#if defined(__x86_64__)
  const Flags flags = read_flags();
  if (flags.amx) backends.push_back(&amx_backend);
  if (flags.avx512) backends.push_back(&avx512_backend);
  if (flags.avx2) backends.push_back(&avx2_backend);
#endif
  backends.push_back(&generic_backend);
  return backends;
}

}  // namespace

const std::vector<const Backend*>& backends() {
  static const std::vector<const Backend*> all = found();
  return all;
}

const Backend* backend_of(const char* name) {
  if (name == nullptr || *name == '\0') return backends().front();
  for (const Backend* backend : backends()) {
    if (std::strcmp(backend->name, name) == 0) return backend;
  }
  return nullptr;
}

}  // namespace seqway
