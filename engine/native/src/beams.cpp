// How the beams of texts go on after a step, as engine/runtime/decoding/beam_step.py says it.
#include <algorithm>
#include <array>
#include <cmath>

#include "beams.h"

namespace seqway {
namespace {

// The score of what must not be chosen.
constexpr float kNever = -1e9F;

struct Continuation {
  int beam = 0;
  int64_t token = 0;
  float score = 0;
  float log_prob = 0;
  float open_score = 0;  // `score`, unless the token ends the answer
};

using Found = std::array<Continuation, 2 * kMostBeams>;

// What the logits of a slot are normalized with: the sum over the whole vocabulary, and the one
// that scores have.
struct Totals {
  float all, scored;
};

Totals totals_of(const SeqwayBeams& beams, int64_t slot) {
  const float open = beams.candidate_logits[slot * beams.most_candidates] - beams.log_probs[slot];
  if (beams.suppressed_logits == nullptr) return {open, open};
  float missing = 0;
  for (int i = 0; i < beams.suppressed; ++i) {
    missing += std::exp(beams.suppressed_logits[slot * beams.suppressed + i] - open);
  }
  const float all = open + std::log1p(missing);
  return {all, beams.renormalizes ? open : all};
}

// The 2k best continuations of a text, best first, equal ones by beam. Each beam's are in order.
int merge(const SeqwayBeams& beams, const int64_t* slots, Found& found) {
  std::array<int, kMostBeams> heads{};
  std::array<Totals, kMostBeams> totals;
  for (int beam = 0; beam < beams.width; ++beam) totals[beam] = totals_of(beams, slots[beam]);
  int count = 0;
  for (; count < 2 * beams.width; ++count) {
    Continuation best;
    best.beam = -1;
    for (int beam = 0; beam < beams.width; ++beam) {
      const int64_t place = slots[beam] * beams.most_candidates + heads[beam];
      if (heads[beam] == 2 * beams.width || beams.candidate_ids[place] < 0) continue;
      const float logit = beams.candidate_logits[place];
      const float score = (logit - totals[beam].scored) + beams.scores[slots[beam]];
      if (best.beam >= 0 && !(score > best.score)) continue;
      best = {beam, beams.candidate_ids[place], score, logit - totals[beam].all, score};
    }
    if (best.beam < 0) break;
    ++heads[best.beam];
    found[count] = best;
  }
  return count;
}

// The same token for every beam, which costs it nothing.
int force(const SeqwayBeams& beams, const int64_t* slots, int64_t token, Found& found) {
  for (int beam = 0; beam < beams.width; ++beam) {
    const float score = beams.scores[slots[beam]];
    found[beam] = {beam, token, score, 0, score};
  }
  return beams.width;
}

// Where the next beams stand: a parent's first child stays in its slot, others are copied.
void place(SeqwayBeams& beams, int text, const Found& found) {
  const int64_t* slots = beams.slots + text * beams.width;
  std::array<bool, kMostBeams> used{}, taken{};
  for (int i = 0; i < beams.width; ++i) used[found[i].beam] = true;
  int free = 0;
  for (int i = 0; i < beams.width; ++i) {
    const int parent = found[i].beam;
    int64_t slot = slots[parent];
    if (taken[parent]) {
      while (used[free]) ++free;
      beams.sources[beams.copies] = slot;
      beams.targets[beams.copies++] = slot = slots[free++];
    }
    taken[parent] = true;
    beams.placed[text * beams.width + i] = slot;
  }
}

void join(SeqwayBeams& beams, int text) {
  const int64_t* slots = beams.slots + text * beams.width;
  const int64_t position = beams.positions[slots[0]];
  const int64_t forced = beams.forced[slots[0] * beams.longest + position];
  const bool is_last = position + 1 >= beams.limits[slots[0]];
  Found found;
  const int count = forced < 0 ? merge(beams, slots, found) : force(beams, slots, forced, found);
  bool is_over = true;
  for (int i = 0; i < count; ++i) {
    Continuation& one = found[i];
    const bool ends = is_last || one.token == beams.end;
    is_over &= ends;
    if (!ends) continue;
    one.open_score = one.score + kNever;
    if (i >= beams.width) continue;
    const int place = beams.ended++;
    beams.ended_texts[place] = text;
    beams.ended_slots[place] = slots[one.beam];
    beams.ended_ids[place] = one.token;
    beams.ended_scores[place] = one.score;
    beams.ended_log_probs[place] = one.log_prob;
  }
  beams.is_over[text] = is_over;
  std::stable_sort(found.begin(), found.begin() + count, [](const auto& one, const auto& other) {
    return one.open_score > other.open_score;
  });
  for (int i = 0; i < beams.width; ++i) {
    beams.next_ids[text * beams.width + i] = found[i].token;
    beams.next_log_probs[text * beams.width + i] = found[i].log_prob;
    beams.next_scores[text * beams.width + i] = found[i].open_score;
  }
  place(beams, text, found);
}

}  // namespace

void join_beams(SeqwayBeams& beams) {
  beams.copies = beams.ended = 0;
  for (int text = 0; text < beams.texts; ++text) join(beams, text);
}

}  // namespace seqway
