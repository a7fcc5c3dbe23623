// Lanes that share their parts with helpers: each part is done once, however lanes come and go, and
// helpers rest where they have the lane wait. Gives 1, and says what, if that does not hold.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "../../../engine/native/src/team.h"

namespace {

using seqway::Team;
using Clock = std::chrono::steady_clock;

constexpr int kLanes = 3;
constexpr int kCalls = 200;
constexpr int kMostParts = 9;
constexpr auto kPatience = std::chrono::seconds(60);

bool holds(bool condition, const char* what) {
  if (!condition) std::fprintf(stderr, "%s\n", what);
  return condition;
}

void work_for(std::chrono::microseconds time) {
  for (const auto end = Clock::now() + time; Clock::now() < end;) continue;
}

// Lanes compute at the same time, each with pauses in which its core is idle.
bool each_part_is_done_once() {
  Team team;
  std::atomic<int> wrong{0};
  const auto run_lane = [&](int lane) {
    for (int call = 0; call < kCalls; ++call) {
      team.begin();
      for (int product = 0; product < 20; ++product) {
        const int parts = 1 + (lane + call + product) % kMostParts;
        int done[kMostParts] = {};  // plain: who waits for helpers sees what they wrote
        const auto work = [&](int part) { ++done[part]; };
        if (team.size() > 1) {
          team.share(parts, 1, work);
        } else {
          for (int part = 0; part < parts; ++part) work(part);
        }
        for (int part = 0; part < kMostParts; ++part) wrong += done[part] != (part < parts ? 1 : 0);
      }
      team.end();
      if (call % 8 == lane) std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  };
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < kLanes; ++lane) team.join();
  for (int lane = 0; lane < kLanes; ++lane) lanes.emplace_back(run_lane, lane);
  for (std::thread& lane : lanes) lane.join();
  return holds(wrong == 0, "a part was not done once");
}

// The parts of `products` products that helpers did; each takes them `theirs`.
int helped(Team& team, int products, std::chrono::microseconds theirs) {
  const auto lane = std::this_thread::get_id();
  std::atomic<int> parts{0};
  for (int product = 0; product < products; ++product) {
    if (team.size() < 2) continue;
    team.share(4, 20, [&](int) {
      const bool is_helper = std::this_thread::get_id() != lane;
      parts += is_helper;
      work_for(is_helper ? theirs : std::chrono::microseconds(20));
    });
  }
  return parts;
}

bool idle_cores_help() {
  Team team;
  team.join();
  team.join();
  int parts = 0;
  for (const auto end = Clock::now() + kPatience; parts == 0 && Clock::now() < end;) {
    team.begin();
    parts = helped(team, 1000, std::chrono::microseconds(20));
    team.end();
  }
  return holds(parts > 0, "no helper took a part");
}

bool nobody_helps_the_last_idle_lane() {
  Team team;
  team.join();
  team.begin();
  const bool alone = team.size() == 1;
  team.join();
  team.begin();
  const bool all_compute = team.size() == 1;
  team.end();
  team.end();
  return holds(alone && all_compute, "a lane without an idle one beside it was helped");
}

// A helper that takes 20 ms for a part is like one that has lost its core. Where the lane loses its
// own meanwhile, it does not notice.
bool helpers_that_are_waited_for_rest() {
  Team team;
  team.join();
  team.join();
  int late = 0;
  for (const auto end = Clock::now() + kPatience; late == 0 && Clock::now() < end;) {
    team.begin();
    while (late == 0 && Clock::now() < end) late = helped(team, 1, std::chrono::milliseconds(20));
    team.end();
  }
  team.begin();
  const int again = helped(team, 20000, std::chrono::milliseconds(20));
  team.end();
  return holds(late > 0, "no helper took a part") && holds(again < 200, "helpers went on after they were late");
}

}  // namespace

int main() {
  if (std::thread::hardware_concurrency() < 2) return holds(false, "one core: nobody can help") ? 0 : 1;
  const bool right = each_part_is_done_once() && nobody_helps_the_last_idle_lane() && idle_cores_help() &&
                     helpers_that_are_waited_for_rest();
  return right ? 0 : 1;
}
