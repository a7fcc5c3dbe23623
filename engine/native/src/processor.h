#pragma once

#include <vector>

#include "model.h"

namespace seqway {

// Those that run on this processor, the fastest first.
const std::vector<const Backend*>& backends();

// The one of that name, or the fastest for ""; null if it does not run here.
const Backend* backend_of(const char* name);

}  // namespace seqway
