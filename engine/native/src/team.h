// The lanes of a model, and the threads that help one of them while cores are idle.
//
// A lane that computes while another has long had nothing to do gives parts of its work to a helper.
// Who computes a part changes no bit of it. A helper that comes late takes fewer parts, or none; one
// that loses its core within a part has the lane wait. While that costs more than help saves,
// helpers rest, for longer each time.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace seqway {

class Team {
 public:
  Team() = default;
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  // Each lane is worth a core.
  void join() { ++lanes_; }
  void leave() { --lanes_; }

  // Around what a lane computes.
  void begin();
  void end() { --active_; }

  // How many threads would work on what the calling lane gives to `share`, itself among them. Asked
  // once for each piece of work.
  int size() {
    const int idle = lanes_.load(std::memory_order_relaxed) - busy_.load(std::memory_order_relaxed);
    if (idle <= 0) return 1;
    const int64_t rest = rest_.load(std::memory_order_relaxed);
    if (rest == 0) return 1 + std::min(idle, awake_.load(std::memory_order_relaxed));
    rest_.store(rest - 1, std::memory_order_relaxed);
    if (rest == 1) wake();
    return 1;
  }

  // Calls work(part) for every part below `parts`, some of them on other threads. Each takes about
  // so many `microseconds`.
  template <typename Work>
  void share(int parts, double microseconds, const Work& work) {
    Job job{[](const void* context, int part) { (*static_cast<const Work*>(context))(part); }, &work, parts,
            microseconds};
    run(job);
  }

 private:
  struct Job {
    void (*work)(const void* context, int part);
    const void* context;
    int parts;
    double microseconds;  // of one
    std::atomic<int> next{0};

    // Returns how many.
    int take_parts() {
      int taken = 0;
      for (int part; (part = next.fetch_add(1, std::memory_order_relaxed)) < parts; ++taken) work(context, part);
      return taken;
    }
  };

  void note_active(int active);
  void start_helpers(int wanted);
  void wake();
  void run(Job& job);
  double wait_for_helpers();
  void judge(const Job& job, int helped, double waited);
  void help();
  bool wants_help() const;
  bool sleep(int64_t& calls);

  std::atomic<int> lanes_{0};
  std::atomic<int> active_{0};
  std::atomic<int> busy_{0};           // the most that were active at once of late
  std::atomic<int> helpers_{0};
  std::atomic<int> awake_{0};
  std::atomic<int64_t> calls_{0};
  std::atomic<bool> taken_{false};     // by the lane whose job it is
  std::atomic<Job*> job_{nullptr};
  std::atomic<int64_t> jobs_{0};
  std::atomic<int> core_{-1};          // that the lane runs on
  std::atomic<int> readers_{0};        // of job_
  std::atomic<int64_t> rest_{0};       // so much work is not shared, and helpers sleep
  std::atomic<bool> stops_{false};
  // Since helpers were judged last; of the lane that has taken the team.
  int64_t given_ = 0, parts_ = 0, helped_ = 0, last_rest_ = 0;
  double saved_ = 0, waited_ = 0;  // microseconds
  std::mutex mutex_;                   // of what follows, and of falling asleep
  std::condition_variable wakes_;
  // The most that were active in the window of that number, and in the one before; under mutex_.
  int64_t window_ = 0;
  int peak_ = 0, peak_before_ = 0;
  std::vector<std::thread> threads_;
  bool has_all_threads_ = false;       // that the system gives
};

// That of the lane which computes in this thread; null in helpers.
extern thread_local Team* current_team;

}  // namespace seqway
