// The whole forward pass for one instruction set. A file defines SEQWAY_NAMESPACE and the macros of
// its set, switches the compiler to it, and includes this.
//
// Standard headers stand before that switch, in backend_headers.h: what they define inline must run
// on every processor.

namespace seqway {
namespace SEQWAY_NAMESPACE {
namespace {
#include "vector.h"

#include "functions.h"

#include "products.h"

#include "attention.h"

#include "forward.h"
}  // namespace
}  // namespace SEQWAY_NAMESPACE
}  // namespace seqway
