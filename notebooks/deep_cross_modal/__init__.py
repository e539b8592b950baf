"""Chen et al. 2017, Deep Cross-Modal Audio-Visual Generation."""
