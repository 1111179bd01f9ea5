// update() on one instruction set, named by the first argument, over odd shapes, element types and
// layouts; memory ends exactly at the last element, so that a sanitizer sees any read beyond it.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../../csrc/cpu/kernels.hpp"
#include "../../csrc/cpu/stats.hpp"
#include "check.hpp"

using namespace tuiprobe;
using cpu::State;

namespace {

struct Batch {
  std::unique_ptr<char[]> memory;
  View view;
};

uint16_t to_half(float x) {  // only for small integers and quarters, exact in binary16
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffffu) == 0) return static_cast<uint16_t>(bits >> 16);
  return static_cast<uint16_t>(((bits >> 16) & 0x8000u) |
                               (((bits & 0x7fffffffu) - 0x38000000u) >> 13));
}

void put(Batch& b, int64_t offset, float x) {
  char* at = b.memory.get() + offset * item_size(b.view.dtype);
  if (b.view.dtype == DType::f32) {
    std::memcpy(at, &x, 4);
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const uint16_t half = b.view.dtype == DType::f16 ? to_half(x) : static_cast<uint16_t>(bits >> 16);
  std::memcpy(at, &half, 2);
}

// Multiples of a quarter: exact in every element type.
Batch make(int64_t images, int64_t h, int64_t w, int64_t c, DType dtype, bool channels_last) {
  Batch b;
  b.memory.reset(new char[static_cast<size_t>(images * h * w * c * item_size(dtype))]);
  b.view = channels_last ? View{nullptr, dtype, images, h, w, c, h * w * c, w * c, c, 1}
                         : View{nullptr, dtype, images, h, w, c, h * w * c, w, 1, h * w};
  b.view.data = b.memory.get();
  std::mt19937 random(static_cast<unsigned>(images * 31 + c));
  for (int64_t i = 0; i < images * h * w * c; ++i) {
    put(b, i, static_cast<float>(static_cast<int>(random() % 61) - 30) / 4);
  }
  return b;
}

float at(const View& v, int64_t image, int64_t p, int64_t c) {
  return load(row_address(v, image, p), c * v.channel_stride, v.dtype);
}

void check_channel(const State& s, const View& v, int64_t c) {
  std::vector<Entry> high(static_cast<size_t>(s.largest.k)), low(high);
  int highs = 0, lows = 0;
  Moments wanted;
  for (int64_t i = 0; i < v.images; ++i) {
    for (int64_t p = 0; p < positions(v); ++p) {
      const float x = at(v, i, p, c);
      wanted = merge(wanted, lift(static_cast<double>(x)));
      highs = insert(high.data(), highs, s.largest.k, {x + 0.0f, static_cast<int32_t>(p), i});
      lows = insert(low.data(), lows, s.smallest.k, {-x + 0.0f, static_cast<int32_t>(p), i});
    }
  }
  const Moments& m = s.moments[static_cast<size_t>(c)];
  CHECK(m.count == wanted.count);
  CHECK(near(m.mean, wanted.mean, 2e-6 * 8));
  CHECK(near(m.m2, wanted.m2, 2e-6 * wanted.m2));
  CHECK(near(m.m4, wanted.m4, 1.3e-5 * wanted.m4));
  CHECK(m.min == wanted.min && m.max == wanted.max);
  CHECK(s.largest.sizes[static_cast<size_t>(c)] == highs);
  for (int i = 0; i < highs; ++i) {
    CHECK(s.largest.list(c)[i].id == high[static_cast<size_t>(i)].id);
    CHECK(s.largest.list(c)[i].position == high[static_cast<size_t>(i)].position);
    CHECK(s.smallest.list(c)[i].id == low[static_cast<size_t>(i)].id);
  }
}

void check_image(const State& s, const View& v, int64_t i) {
  double kurtosis = 0;
  bool degenerate = false;
  for (int64_t p = 0; p < positions(v); ++p) {
    Moments row;
    for (int64_t c = 0; c < v.channels; ++c) {
      row = merge(row, lift(static_cast<double>(at(v, i, p, c))));
    }
    degenerate = degenerate || row.min == row.max;
    kurtosis += finalize(row).kurtosis / static_cast<double>(positions(v));
  }
  const double got = s.samples.kurtosis[static_cast<size_t>(i)];
  CHECK(near(got, degenerate ? NAN : kurtosis, 1e-5 * kurtosis));
}

// Moments alone take maps a few channels at a time; a transposed matrix is a map of many images.
void check_moments_alone(const Batch& b) {
  State all(Options{b.view.channels, true, 5, 5, true}), alone(Options{b.view.channels, true});
  cpu::update(all, b.view, nullptr, 3);
  cpu::update(alone, b.view, nullptr, 3);
  for (int64_t c = 0; c < b.view.channels; ++c) {
    const Moments &m = alone.moments[static_cast<size_t>(c)],
                  &wanted = all.moments[static_cast<size_t>(c)];
    CHECK(m.count == wanted.count && m.min == wanted.min && m.max == wanted.max);
    CHECK(near(m.mean, wanted.mean, 2e-6 * 8));
    CHECK(near(m.m4, wanted.m4, 1.3e-5 * wanted.m4));
  }
}

void check_transposed(int64_t images, int64_t channels, DType dtype) {
  Batch b = make(images, 1, 1, channels, dtype, true);
  b.view.image_stride = 1;
  b.view.channel_stride = images;
  State s(Options{channels, true, 5, 5, true});
  cpu::update(s, b.view, nullptr, 2);
  for (int64_t c = 0; c < channels; ++c) check_channel(s, b.view, c);
  for (int64_t i = 0; i < images; ++i) check_image(s, b.view, i);
  check_moments_alone(b);
}

void check_shape(int64_t images, int64_t h, int64_t w, int64_t c) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const bool channels_last : {true, false}) {
      const Batch b = make(images, h, w, c, dtype, channels_last);
      State s(Options{c, true, 5, 5, true});
      cpu::update(s, b.view, nullptr, 3);
      CHECK(s.images == images);
      for (int64_t k = 0; k < c; ++k) check_channel(s, b.view, k);
      for (int64_t i = 0; i < images; ++i) check_image(s, b.view, i);
      check_moments_alone(b);
    }
    check_transposed(images * h * w, c, dtype);
  }
}

// Lists longer than a worker's room, several updates, ids in no order: `once` or not.
void check_lists(int64_t images, int64_t positions_each, int64_t channels, int k, bool repeat) {
  std::mt19937_64 random(static_cast<uint64_t>(images + channels * 7 + k));
  State s(Options{channels, true, k, k, true});
  const size_t width = static_cast<size_t>(channels);
  std::vector<std::vector<Entry>> high(width, std::vector<Entry>(static_cast<size_t>(k))),
      low = high;
  std::vector<int> highs(width), lows(width);
  for (int round = 0; round < 3; ++round) {
    Batch b = make(images, 1, positions_each, channels, DType::f32, true);
    for (int64_t i = 0; i < images * positions_each * channels; ++i) {
      put(b, i, static_cast<float>(static_cast<int>(random() % 20001) - 10000));
    }
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < images; ++i) {
      ids.push_back(static_cast<int64_t>(random() % (repeat ? 50 : 1000000000)));
    }
    cpu::update(s, b.view, ids.data(), 2);
    for (int64_t i = 0; i < images; ++i) {
      for (int64_t p = 0; p < positions_each; ++p) {
        for (size_t c = 0; c < width; ++c) {
          const float x = at(b.view, i, p, static_cast<int64_t>(c));
          const int64_t id = ids[static_cast<size_t>(i)];
          const int32_t at_position = static_cast<int32_t>(p);
          highs[c] = insert(high[c].data(), highs[c], k, {x + 0.0f, at_position, id});
          lows[c] = insert(low[c].data(), lows[c], k, {-x + 0.0f, at_position, id});
        }
      }
    }
  }
  const auto same = [](const Entry& a, const Entry& b) {
    return a.key == b.key && a.id == b.id && a.position == b.position;
  };
  for (size_t c = 0; c < width; ++c) {
    CHECK(s.largest.sizes[c] == highs[c] && s.smallest.sizes[c] == lows[c]);
    for (int i = 0; i < highs[c]; ++i) {
      CHECK(same(s.largest.list(static_cast<int64_t>(c))[i], high[c][static_cast<size_t>(i)]));
    }
    for (int i = 0; i < lows[c]; ++i) {
      CHECK(same(s.smallest.list(static_cast<int64_t>(c))[i], low[c][static_cast<size_t>(i)]));
    }
  }
}

void an_update_of_nothing() {
  State s(Options{3, true, 2, 2, true});
  cpu::update(s, View{nullptr, DType::f32, 0, 1, 1, 3, 3, 3, 3, 1}, nullptr, 2);
  CHECK(s.images == 0 && s.moments[0].count == 0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string isa = argc > 1 ? argv[1] : "generic";
  if (cpu::find_kernels(isa.c_str()) == nullptr) {
    std::printf("%s: not on this machine, skipped\n", isa.c_str());
    return 0;
  }
  setenv("TUIPROBE_ISA", isa.c_str(), 1);
  an_update_of_nothing();
  const int64_t shapes[][4] = {{1, 1, 1, 1},   {2, 1, 1, 3},    {17, 1, 1, 16}, {33, 1, 1, 31},
                               {130, 1, 1, 7}, {300, 1, 1, 50}, {3, 1, 17, 33}, {5, 3, 3, 20},
                               {40, 2, 4, 65}, {2, 7, 7, 18},   {1, 16, 16, 5}};
  for (const auto& s : shapes) check_shape(s[0], s[1], s[2], s[3]);
  check_lists(2000, 1, 19, 32, false);
  check_lists(700, 1, 33, 3, true);
  check_lists(60, 13, 17, 8, false);
  check_lists(60, 13, 17, 8, true);
  check_lists(1200, 1, 3, 600, false);  // more than is ranked
  check_lists(900, 2, 2, 600, false);
  return report();
}
