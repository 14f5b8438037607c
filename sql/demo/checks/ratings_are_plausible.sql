-- description: Who plays half a match is rated, and nobody is rated below 3
-- severity: warn
SELECT match_id, player_id, minutes, rating
FROM player_stats
WHERE (rating IS NULL AND minutes >= 45) OR rating < 3
ORDER BY match_id, player_id
