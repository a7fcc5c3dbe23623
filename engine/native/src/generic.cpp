// Plain C++, which every processor runs.
#include "backend_headers.h"

#define SEQWAY_NAMESPACE generic
#include "backend.h"

namespace seqway {
const Backend generic_backend = {"generic", generic::encode, generic::read, generic::step,
                                 generic::logits_of, generic::multiply_rows};
}
