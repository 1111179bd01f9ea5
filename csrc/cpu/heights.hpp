// Sums over rows, one an image: heights, energy, rows standardised over their channels.
#pragma once

#include "../fields.hpp"
#include "../layout.hpp"

namespace tuiprobe::cpu {

// What each field means is said in fields.hpp. A row counts if its values are finite and not equal.
struct RowSums {
  int64_t channels = 0;
  std::vector<int32_t> height_histogram;
  std::vector<double> energy_sum;
  std::vector<double> energy_square_sum;
  std::vector<double> z_sum;
  std::vector<int64_t> group_rows;
  int64_t without_heights = 0;
  int64_t with_negative = 0;

  RowSums() = default;
  explicit RowSums(int64_t channels);

  // Adds rows: a view of one position an image, with one id each. Rows are added one after the
  // other, so sums depend neither on `threads` nor on how rows are cut into updates. On an
  // exception nothing has changed.
  void update(const View& x, const int64_t* ids, int threads);
  void merge(const RowSums& other);
};

}  // namespace tuiprobe::cpu
