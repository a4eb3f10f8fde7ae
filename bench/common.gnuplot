# SPDX-License-Identifier: MIT
# What the plots have in common. They have no background; their colours can be read on white and on
# black.
grey = "#7d7d7d"
blue = "#3f83c8"
orange = "#d9822b"
green = "#3d9a5f"
set datafile separator "\t"
set border 3 linecolor rgb grey
set key textcolor rgb grey
set xtics nomirror textcolor rgb grey
set ytics nomirror textcolor rgb grey
set grid xtics linecolor rgb grey linewidth 0.3
