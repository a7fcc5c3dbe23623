// What becomes of the running rows after a step.
#include <cmath>

#include "model.h"

namespace seqway {
namespace {

// Counts the last tokens that equal those `cycle` places before, for every cycle; says whether one
// of these runs is a loop.
bool extend_runs(const State& state, int64_t row, int64_t position, bool is_forced) {
  int32_t* runs = state.runs + row * state.cycles;
  const int64_t* tokens = state.history + row * (1 + state.longest) + 1;
  bool loops = false;
  for (int cycle = 1; cycle <= state.cycles; ++cycle) {
    int32_t& run = runs[cycle - 1];
    // A caller may force a loop.
    const bool repeats = !is_forced && cycle <= position && tokens[position - cycle] == tokens[position];
    run = repeats ? run + 1 : 0;
    loops |= run >= state.loops[cycle - 1];
  }
  return loops;
}

}  // namespace

bool advance(const State& state, const int64_t* next_ids, const float* log_probs, bool fails) {
  bool any = false;
  for (int64_t row = 0; row < state.rows; ++row) {
    const int64_t position = state.positions[row];
    const int64_t wanted = state.forced[row * state.longest + position];
    const bool is_forced = wanted >= 0;
    const int64_t token = is_forced ? wanted : next_ids[row];
    state.history[row * (1 + state.longest) + 1 + position] = token;
    state.log_probs[row * state.longest + position] = is_forced ? 0.0F : log_probs[row];
    const bool loops = extend_runs(state, row, position, is_forced);
    state.ids[row] = token;
    state.positions[row] = position + 1;
    state.ended[row] = token == state.end || position + 1 >= state.limits[row];
    if (fails && !std::isfinite(log_probs[row])) state.ended[row] = 1;
    state.looping[row] = loops && state.watched[row] != 0;
    any |= state.ended[row] != 0 || state.looping[row] != 0;
  }
  return any;
}

}  // namespace seqway
