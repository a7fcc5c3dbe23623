#include "team.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seqway {

thread_local Team* current_team = nullptr;

namespace {

using Clock = std::chrono::steady_clock;

// A lane that waits for its next text has nothing to do for a moment, in which its core is wanted by
// who brings the text.
constexpr auto kWindow = std::chrono::milliseconds(50);
constexpr int kMostHelpers = 7;    // beyond that waiting for each other costs what they save
constexpr int kPauses = 64;        // between two offers of the core to other programs
constexpr int kPatientRounds = 16;  // of so many pauses, some 50 us, before the clock is asked
constexpr int64_t kJudged = 256, kLongestRest = 8192;  // pieces of work: of a judgement, after it
constexpr double kSaved = 0.5;       // of the time of a helped part: two cores share the memory
constexpr double kForgiven = 100;    // microseconds of waiting
constexpr int kIdleRounds = 20;    // of so many pauses, without a lane that wants help; then a helper sleeps

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int current_core() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// The kernel wakes a thread where its waker runs, and takes milliseconds to see that this is wrong.
void leave_core(int core) {
#if defined(__linux__)
  cpu_set_t allowed, others;
  if (core < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

}  // namespace

Team::~Team() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stops_ = true;
  }
  wakes_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::begin() {
  note_active(++active_);
  const int lanes = lanes_.load();
  if (busy_.load() >= lanes || rest_.load() > 0) return;
  static const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int wanted = std::min({lanes - 1, cores - 1, kMostHelpers});
  if (helpers_.load() < wanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    start_helpers(wanted);
  }
  wake();
}

// As many as the system gives: a lane can do without.
void Team::start_helpers(int wanted) {
  try {
    for (; !has_all_threads_ && static_cast<int>(threads_.size()) < wanted; ++helpers_) {
      threads_.emplace_back([this] { help(); });
    }
  } catch (const std::system_error&) {
    has_all_threads_ = true;
  }
}

void Team::note_active(int active) {
  const int64_t window = Clock::now().time_since_epoch() / kWindow;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (window != window_) {
    peak_before_ = window == window_ + 1 ? peak_ : 0;
    peak_ = 0;
    window_ = window;
  }
  peak_ = std::max(peak_, active);
  busy_ = std::max(peak_, peak_before_);
}

void Team::wake() {
  if (awake_.load() == helpers_.load()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++calls_;
  }
  wakes_.notify_all();
}

void Team::run(Job& job) {
  if (taken_.exchange(true)) {
    job.take_parts();
    return;
  }
  job_ = &job;
  ++jobs_;
  core_.store(current_core(), std::memory_order_relaxed);
  const int own = job.take_parts();
  job_ = nullptr;
  judge(job, job.parts - own, wait_for_helpers());
  taken_ = false;
}

// Who has read job_ before it was taken away may still be at a part of it. Returns microseconds.
double Team::wait_for_helpers() {
  Clock::time_point began;
  double waited = 0;
  for (int round = 0; readers_.load() != 0; ++round) {
    if (round == kPatientRounds) began = Clock::now();
    for (int i = 0; i < kPauses && readers_.load(std::memory_order_relaxed) != 0; ++i) pause();
    if (round < kPatientRounds) continue;
    std::this_thread::yield();
    waited = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
  }
  return waited;
}

// Helpers pay where they do a fifth of the parts, and save more time than the lane waits for them.
void Team::judge(const Job& job, int helped, double waited) {
  parts_ += job.parts;
  helped_ += helped;
  saved_ += kSaved * helped * job.microseconds;
  waited_ += std::max(0.0, waited - job.microseconds);
  const bool waits = waited_ > saved_ + kForgiven;
  if (++given_ < kJudged && !waits) return;
  if (waits || 5 * helped_ < parts_) {
    last_rest_ = std::clamp(2 * last_rest_, kJudged, kLongestRest);
  } else {
    last_rest_ = last_rest_ < kJudged ? 0 : last_rest_ * 3 / 4;
  }
  rest_ = last_rest_;
  given_ = parts_ = helped_ = 0;
  saved_ = waited_ = 0;
}

bool Team::wants_help() const {
  return active_.load() > 0 && busy_.load() < lanes_.load() && rest_.load() == 0;
}

void Team::help() {
  int64_t seen = 0, calls = calls_.load();
  int idle = 0;
  ++awake_;
  while (!stops_) {
    if (jobs_.load() != seen) {
      idle = 0;
      seen = jobs_.load();
      ++readers_;
      if (Job* job = job_.load()) job->take_parts();
      --readers_;
      continue;
    }
    for (int i = 0; i < kPauses && jobs_.load(std::memory_order_relaxed) == seen; ++i) pause();
    idle = wants_help() ? 0 : idle + 1;
    if (idle == 0 && current_core() == core_.load(std::memory_order_relaxed)) leave_core(current_core());
    if (idle > kIdleRounds) {
      if (!sleep(calls)) return;
      idle = 0;
    } else {
      std::this_thread::yield();
    }
  }
}

// Until a lane calls for help; false where the team ends.
bool Team::sleep(int64_t& calls) {
  std::unique_lock<std::mutex> lock(mutex_);
  --awake_;
  wakes_.wait(lock, [&] { return stops_ || calls_.load() != calls; });
  ++awake_;
  calls = calls_.load();
  return !stops_;
}

}  // namespace seqway
